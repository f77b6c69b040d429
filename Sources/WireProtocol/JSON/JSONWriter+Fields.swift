/// A value that writes itself as one JSON value.
package protocol JSONWritable {
    func write(to writer: inout JSONWriter)
}

/// Fields of an object that is open. Those that are nil are left out.
extension JSONWriter {
    package mutating func field(_ name: StaticString, _ value: String?) {
        guard let value else { return }
        key(name)
        string(value)
    }

    package mutating func field(_ name: StaticString, _ value: (some FixedWidthInteger & SignedInteger)?) {
        guard let value else { return }
        key(name)
        number(value)
    }

    package mutating func field(_ name: StaticString, _ value: Double?) {
        guard let value else { return }
        key(name)
        number(value)
    }

    package mutating func field(_ name: StaticString, _ value: Bool?) {
        guard let value else { return }
        key(name)
        bool(value)
    }

    package mutating func field(_ name: StaticString, _ value: Position?) {
        guard let value else { return }
        key(name)
        position(value)
    }

    package mutating func field(_ name: StaticString, _ value: (some JSONWritable)?) {
        guard let value else { return }
        key(name)
        value.write(to: &self)
    }

    package mutating func field(_ name: StaticString, _ values: [some JSONWritable]?) {
        guard let values else { return }
        key(name)
        beginArray()
        for value in values { value.write(to: &self) }
        endArray()
    }

    package mutating func field(_ name: StaticString, _ values: [String]?) {
        guard let values else { return }
        key(name)
        beginArray()
        for value in values { string(value) }
        endArray()
    }

    /// An INTEGER of the database, by the rule for values.
    mutating func field(_ name: StaticString, integer value: Int64?) {
        guard let value else { return }
        key(name)
        integer(value)
    }

    mutating func field(_ name: StaticString, object value: [String: WireValue]?) {
        guard let value else { return }
        key(name)
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
