import Foundation

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A port of the loopback interface where connections are taken and nothing is ever said.
final class SilentListener {
    let url: URL
    private let descriptor: Int32

    init() throws {
        #if canImport(Glibc)
            let stream = Int32(SOCK_STREAM.rawValue)
        #else
            let stream = SOCK_STREAM
        #endif
        let descriptor = socket(AF_INET, stream, 0)
        self.descriptor = descriptor
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        // The system completes connections by itself up to the backlog; nobody needs to accept.
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 8) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard result,
            let url = URL(string: "ws://127.0.0.1:\(UInt16(bigEndian: address.sin_port))/ws")
        else {
            throw ChildProcess.Failed(
                description: "cannot listen: \(String(cString: strerror(errno)))")
        }
        self.url = url
    }

    deinit {
        close(descriptor)
    }
}
