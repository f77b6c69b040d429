#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Appends the state's values to bytes: integers of fixed size, little-endian, and what is preceded by its length.
package struct ByteWriter: Sendable {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    package mutating func reserve(_ byteCount: Int) { bytes.reserveCapacity(byteCount) }

    package mutating func append(_ value: UInt8) { bytes.append(value) }

    package mutating func append(_ value: Bool) { bytes.append(value ? 1 : 0) }

    // Not generic for other modules, where it would take several times as long.

    package mutating func append(_ value: Int64) { append(fixedWidth: value) }

    package mutating func append(_ value: UInt64) { append(fixedWidth: value) }

    package mutating func append(_ value: UInt32) { append(fixedWidth: value) }

    private mutating func append(fixedWidth value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// A number that is mostly small: seven bits in each byte, the lowest first.
    package mutating func append(count value: Int) {
        var rest = UInt64(bitPattern: Int64(value))
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    package mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(raw: UnsafeRawBufferPointer($0)) }
    }

    package mutating func append(_ text: String?) {
        append(text != nil)
        if let text { append(text) }
    }

    /// Bytes preceded by their number.
    package mutating func append(raw buffer: UnsafeRawBufferPointer) {
        append(count: buffer.count)
        bytes.append(contentsOf: buffer)
    }

    /// Bytes without their number.
    package mutating func append(encoded: [UInt8]) { bytes.append(contentsOf: encoded) }

    /// Bytes without their number.
    mutating func append(unprefixed buffer: UnsafeRawBufferPointer) { bytes.append(contentsOf: buffer) }

    /// Overwrites four bytes.
    mutating func set(_ value: UInt32, at offset: Int) {
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index)) }
    }
}

/// Reads what ``ByteWriter`` wrote; throws at the first byte that does not fit.
package struct ByteReader {
    /// The bytes are not what a ``ByteWriter`` wrote.
    package struct Malformed: Error {
        package init() {}
    }

    private let bytes: ArraySlice<UInt8>
    /// The next byte. A slice of what is left would be retained and released for each value.
    private var index: Int

    package init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        index = bytes.startIndex
    }

    private var restCount: Int { bytes.endIndex - index }

    package var isAtEnd: Bool { index == bytes.endIndex }

    /// The bytes that are not read yet.
    package var remaining: ArraySlice<UInt8> { bytes[index...] }

    /// Passes over these bytes if they come next; false when others do.
    package mutating func skip(_ expected: [UInt8]) -> Bool {
        guard restCount >= expected.count else { return false }
        let offset = index - bytes.startIndex
        let areEqual = expected.withUnsafeBytes { expected in
            bytes.withUnsafeBytes { bytes in
                guard let first = expected.baseAddress, let base = bytes.baseAddress else { return true }
                return memcmp(base + offset, first, expected.count) == 0
            }
        }
        if areEqual { index += expected.count }
        return areEqual
    }

    package mutating func byte() throws(Malformed) -> UInt8 {
        guard index < bytes.endIndex else { throw Malformed() }
        defer { index += 1 }
        return bytes[index]
    }

    package mutating func bool() throws(Malformed) -> Bool {
        switch try byte() {
        case 0: return false
        case 1: return true
        default: throw Malformed()
        }
    }

    // Not generic for other modules, where it would take several times as long.

    package mutating func integer() throws(Malformed) -> Int64 { try fixedWidth() }

    package mutating func integer() throws(Malformed) -> UInt64 { try fixedWidth() }

    package mutating func integer() throws(Malformed) -> UInt32 { try fixedWidth() }

    private mutating func fixedWidth<Value: FixedWidthInteger>() throws(Malformed) -> Value {
        let byteCount = Value.bitWidth / 8
        guard byteCount <= restCount else { throw Malformed() }
        let offset = index - bytes.startIndex
        index += byteCount
        return bytes.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
    }

    /// A number of bytes or of elements that follow, each of at least one byte: so it cannot exceed what is left.
    package mutating func count() throws(Malformed) -> Int {
        let value = try number()
        guard value <= restCount else { throw Malformed() }
        return value
    }

    /// A number written with ``ByteWriter/append(count:)``.
    package mutating func number() throws(Malformed) -> Int {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            let byte = try byte()
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 {
                guard let result = Int(exactly: value) else { throw Malformed() }
                return result
            }
        }
        throw Malformed()
    }

    package mutating func raw() throws(Malformed) -> ArraySlice<UInt8> { try take(try count()) }

    package mutating func string() throws(Malformed) -> String {
        guard let text = String(validating: try raw(), as: UTF8.self) else { throw Malformed() }
        return text
    }

    package mutating func optionalString() throws(Malformed) -> String? { try bool() ? try string() : nil }

    private mutating func take(_ count: Int) throws(Malformed) -> ArraySlice<UInt8> {
        guard count <= restCount else { throw Malformed() }
        defer { index += count }
        return bytes[index..<(index + count)]
    }
}
