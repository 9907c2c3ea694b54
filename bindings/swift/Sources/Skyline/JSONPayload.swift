import Foundation

/// The JSON texts that cross over to the core, which turns them into MessagePack and back.
enum JSONPayload {
    static func encode(_ value: some Encodable) throws(SkylineError) -> Data {
        do {
            return try JSONEncoder().encode(value)
        } catch let EncodingError.invalidValue(_, context) {
            throw misfit(
                "the payload cannot be encoded", context.debugDescription, context.codingPath)
        } catch {
            throw misfit("the payload cannot be encoded", String(describing: error), [])
        }
    }

    /// Reads `json`; no answer at all reads as JSON's `null`.
    static func decode<Value: Decodable>(
        _ type: Value.Type, from json: Data?
    ) throws(SkylineError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: json ?? Data("null".utf8))
        } catch let error as DecodingError {
            let context = context(of: error)
            throw misfit(
                "the answer is not of the type \(type)", context.debugDescription,
                context.codingPath)
        } catch {
            throw misfit("the answer is not of the type \(type)", String(describing: error), [])
        }
    }

    private static func context(of error: DecodingError) -> DecodingError.Context {
        switch error {
        case .typeMismatch(_, let context), .valueNotFound(_, let context),
            .keyNotFound(_, let context), .dataCorrupted(let context):
            return context
        @unknown default:
            return .init(codingPath: [], debugDescription: String(describing: error))
        }
    }

    private static func misfit(
        _ what: String, _ why: String, _ path: [any CodingKey]
    ) -> SkylineError {
        let place = path.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
        let at = place.isEmpty ? "" : " (at \(place.joined(separator: ".")))"
        return SkylineError(code: .payload, message: "\(what): \(why)\(at)")
    }
}
