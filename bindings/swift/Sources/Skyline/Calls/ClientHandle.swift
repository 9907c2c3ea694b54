internal import SkylineFFI
internal import SkylineNative

/// A handle of a connected client for the C interface, freed when nobody holds it any more.
final class ClientHandle: Sendable {
    // Every function of the library may be called from any thread.
    nonisolated(unsafe) let pointer: OpaquePointer

    init(_ client: SkylineNative.Client) {
        guard let pointer = OpaquePointer(bitPattern: UInt(client.cHandle())) else {
            preconditionFailure("the library gave no handle")
        }
        self.pointer = pointer
    }

    deinit {
        skyline_client_free(pointer)
    }
}
