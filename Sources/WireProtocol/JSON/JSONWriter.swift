/// Writes JSON directly into a growing byte buffer: the service produces all messages with it.
///
/// It only appends and adds commas itself; it does not check that objects and arrays are closed, nor that an object has
/// keys. A value type: a copy copies the bytes when either one is written to. Reuse one with ``removeAll()``.
///
/// Source: [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259).
package struct JSONWriter: Sendable {
    /// Always filled to its count, so that a value is written through a pointer after a single check for room.
    private var storage: [UInt8]
    /// The number of bytes of ``storage`` that are written.
    package private(set) var count = 0
    /// A value was written at this level: the next value, or the next key, needs a comma first.
    private var needsComma = false

    package init(capacityBytes: Int = 256) {
        storage = [UInt8](repeating: 0, count: capacityBytes)
    }

    /// A copy of everything written so far.
    package var bytes: [UInt8] { Array(storage[..<count]) }

    /// Everything written so far, valid only within `body`.
    package func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try storage.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }

    /// Removes the content and keeps the memory.
    package mutating func removeAll() {
        count = 0
        needsComma = false
    }

    // MARK: Structure

    package mutating func beginObject() { open(UInt8(ascii: "{")) }
    package mutating func endObject() { close(UInt8(ascii: "}")) }
    package mutating func beginArray() { open(UInt8(ascii: "[")) }
    package mutating func endArray() { close(UInt8(ascii: "]")) }

    /// A key that needs no escape.
    package mutating func key(_ name: StaticString) {
        comma()
        append(UInt8(ascii: "\""))
        append(name)
        append("\":")
        needsComma = false
    }

    /// A key that needs no escape, usually a coding key of the payload: so the names of its fields are written once.
    package mutating func key(of name: some FieldName) {
        var text = name.fieldName
        comma()
        append(UInt8(ascii: "\""))
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
        append("\":")
        needsComma = false
    }

    /// A key that was escaped in advance, which is fastest.
    package mutating func key(_ key: JSONKey) {
        comma()
        key.bytes.withUnsafeBytes { append($0) }
        needsComma = false
    }

    package mutating func key(escaping name: String) {
        string(name)
        append(UInt8(ascii: ":"))
        needsComma = false
    }

    // MARK: Values

    package mutating func null() { literal("null") }

    package mutating func bool(_ value: Bool) { literal(value ? "true" : "false") }

    /// An exact number, also beyond 2^53. For values of the database use ``integer(_:)``.
    package mutating func number(_ value: some FixedWidthInteger & SignedInteger) {
        beginValue()
        appendDecimal(Int64(value))
    }

    /// A finite number.
    package mutating func number(_ value: Double) {
        precondition(value.isFinite, "JSON has no \(value)")
        real(value)
    }

    package mutating func string(_ value: String) {
        beginValue()
        var value = value
        value.withUTF8 { utf8 in
            _ = appendQuoted(UnsafeRawBufferPointer(utf8), isKnownUTF8: true)
        }
    }

    /// A string that needs no escape.
    package mutating func string(_ value: StaticString) {
        beginValue()
        append(UInt8(ascii: "\""))
        append(value)
        append(UInt8(ascii: "\""))
    }

    /// One complete JSON value from another source.
    package mutating func raw(_ json: some Collection<UInt8>) {
        beginValue()
        if json.withContiguousStorageIfAvailable({ append(UnsafeRawBufferPointer($0)) }) == nil {
            for byte in json { append(byte) }
        }
    }

    // MARK: Building blocks

    /// Must precede the bytes of every value.
    mutating func beginValue() {
        comma()
        needsComma = true
    }

    mutating func append(_ text: StaticString) {
        append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(_ byte: UInt8) {
        reserve(1)
        storage[count] = byte
        count += 1
    }

    mutating func append(_ run: UnsafeRawBufferPointer) {
        append(atMost: run.count) { room in
            room.copyMemory(from: run)
            return run.count
        }
    }

    /// Passes room for `byteCount` bytes to `body`, which returns how many it wrote.
    mutating func append(atMost byteCount: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int) {
        reserve(byteCount)
        let start = count
        count += storage.withUnsafeMutableBytes { storage in
            body(UnsafeMutableRawBufferPointer(rebasing: storage[start..<start + byteCount]))
        }
    }

    /// Removes everything from `count` on.
    package mutating func truncate(to count: Int) { self.count = count }

    private mutating func reserve(_ byteCount: Int) {
        if count + byteCount > storage.count { grow(by: byteCount) }
    }

    @inline(never)
    private mutating func grow(by byteCount: Int) {
        let newCount = max(2 * storage.count, count + byteCount)
        storage.append(contentsOf: repeatElement(0, count: newCount - storage.count))
    }

    private mutating func literal(_ text: StaticString) {
        beginValue()
        append(text)
    }

    private mutating func comma() {
        if needsComma { append(UInt8(ascii: ",")) }
    }

    private mutating func open(_ bracket: UInt8) {
        comma()
        append(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        append(bracket)
        needsComma = true
    }
}

/// The name of a field with its quotes, escapes and colon, encoded once and written many times.
package struct JSONKey: Sendable, Hashable {
    let bytes: [UInt8]

    package init(_ name: String) {
        var writer = JSONWriter(capacityBytes: name.utf8.count + 8)
        writer.key(escaping: name)
        bytes = writer.bytes
    }
}

/// A value that writes itself as one JSON value.
package protocol JSONWritable {
    func write(to writer: inout JSONWriter)
}

/// Fields of an open object. Nil values are omitted.
extension JSONWriter {
    package mutating func field(_ name: some FieldName, _ value: String?) {
        guard let value else { return }
        key(of: name)
        string(value)
    }

    package mutating func field(_ name: some FieldName, _ value: (some FixedWidthInteger & SignedInteger)?) {
        guard let value else { return }
        key(of: name)
        number(value)
    }

    package mutating func field(_ name: some FieldName, _ value: Double?) {
        guard let value else { return }
        key(of: name)
        number(value)
    }

    package mutating func field(_ name: some FieldName, _ value: Bool?) {
        guard let value else { return }
        key(of: name)
        bool(value)
    }

    package mutating func field(_ name: some FieldName, _ value: Position?) {
        guard let value else { return }
        key(of: name)
        position(value)
    }

    package mutating func field(_ name: some FieldName, _ value: (some JSONWritable)?) {
        guard let value else { return }
        key(of: name)
        value.write(to: &self)
    }

    package mutating func field(_ name: some FieldName, _ values: [some JSONWritable]?) {
        guard let values else { return }
        key(of: name)
        beginArray()
        for value in values { value.write(to: &self) }
        endArray()
    }

    package mutating func field(_ name: some FieldName, _ values: [String]?) {
        guard let values else { return }
        key(of: name)
        beginArray()
        for value in values { string(value) }
        endArray()
    }

    /// An INTEGER of the database, encoded by the rule for values.
    mutating func field(_ name: some FieldName, integer value: Int64?) {
        guard let value else { return }
        key(of: name)
        integer(value)
    }

    mutating func field(_ name: some FieldName, object value: [String: WireValue]?) {
        guard let value else { return }
        key(of: name)
        object(value)
    }

    /// A position needs no escape.
    package mutating func position(_ position: Position) {
        beginValue()
        append(UInt8(ascii: "\""))
        var epoch = position.epoch
        epoch.withUTF8 { append(UnsafeRawBufferPointer($0)) }
        append(UInt8(ascii: ":"))
        appendDecimal(magnitude: position.sequence)
        append(UInt8(ascii: "\""))
    }
}

/// The name of a field of an object, without characters that JSON escapes.
package protocol FieldName {
    var fieldName: String { get }
}

extension FieldName where Self: CodingKey {
    package var fieldName: String { stringValue }
}

extension String: FieldName {
    package var fieldName: String { self }
}
