/// A rowid, which can lie beyond ±2^53 like any other INTEGER.
struct WireInteger: Sendable, Hashable, Codable {
    let value: Int64

    init(_ value: Int64) { self.value = value }

    init(from decoder: any Decoder) throws {
        guard case .integer(let value) = try WireValue(from: decoder) else {
            let context = DecodingError.Context(
                codingPath: decoder.codingPath,
                debugDescription: "expected a whole number or {\"$int64\": \"…\"}"
            )
            throw DecodingError.dataCorrupted(context)
        }
        self.value = value
    }

    func encode(to encoder: any Encoder) throws { try WireValue.integer(value).encode(to: encoder) }
}
