import Synchronization

/// Makes the `id` of messages: a random prefix of the process and a counter, in base 36.
///
/// Thread-safe. An id has at most 15 bytes for the first 10^14 messages, which a `String` keeps without an allocation.
package enum MessageID {
    private static let prefixLength = 6
    private static let alphabet: StaticString = "0123456789abcdefghijklmnopqrstuvwxyz"
    private static let counter = Atomic<UInt64>(0)

    private static let prefix: [UInt8] = (0..<prefixLength).map { _ in digit(UInt64.random(in: 0..<36)) }

    package static func next() -> String {
        var rest = counter.wrappingAdd(1, ordering: .relaxed).newValue
        // 13 digits of base 36 hold every UInt64.
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 13) { digits in
            var first = digits.count
            repeat {
                first -= 1
                digits[first] = digit(rest % 36)
                rest /= 36
            } while rest > 0
            let count = digits.count - first
            return String(unsafeUninitializedCapacity: prefixLength + count) { text in
                _ = text.update(fromContentsOf: prefix)
                _ = text[prefixLength...].update(fromContentsOf: digits[first...])
                return prefixLength + count
            }
        }
    }

    private static func digit(_ value: UInt64) -> UInt8 { alphabet.utf8Start[Int(value)] }
}
