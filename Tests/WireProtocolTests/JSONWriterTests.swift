import Foundation
import RandomSupport
import Testing

@testable import WireProtocol

@Suite struct JSONWriterTests {
    private func json(_ write: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter()
        write(&writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    @Test func `commas stand between values and nowhere else`() {
        let text = json { writer in
            writer.beginObject()
            writer.key("a")
            writer.beginArray()
            writer.endArray()
            writer.key(JSONKey("b\""))
            writer.beginArray()
            writer.null()
            writer.beginObject()
            writer.endObject()
            writer.bool(true)
            writer.endArray()
            writer.key(escaping: "c")
            writer.string("d")
            writer.endObject()
        }
        #expect(text == #"{"a":[],"b\"":[null,{},true],"c":"d"}"#)
    }

    @Test func `an emptied writer starts from the beginning`() {
        var writer = JSONWriter()
        writer.beginArray()
        writer.null()
        writer.removeAll()
        writer.null()
        #expect(writer.bytes == Array("null".utf8))
    }

    @Test(
        arguments: [
            (0, "0"), (7, "7"), (-7, "-7"), (10, "10"), (99, "99"), (100, "100"), (-12_345, "-12345"),
            (9_007_199_254_740_991, "9007199254740991"),
            (-9_007_199_254_740_991, "-9007199254740991"),
            (9_007_199_254_740_992, #"{"$int64":"9007199254740992"}"#),
            (Int64.max, #"{"$int64":"9223372036854775807"}"#),
            (Int64.min, #"{"$int64":"-9223372036854775808"}"#),
        ] as [(Int64, String)]
    )
    func `an INTEGER is a number as long as every reader keeps it exactly`(value: Int64, expected: String) {
        #expect(json { $0.integer(value) } == expected)
    }

    @Test(
        arguments: [
            (1, "1.0"), (-0.0, "-0.0"), (0.1, "0.1"), (1e300, "1e+300"), (.leastNonzeroMagnitude, "5e-324"),
            (1e16, "1e+16"),
            (.infinity, #"{"$real":"Infinity"}"#), (-.infinity, #"{"$real":"-Infinity"}"#),
        ] as [(Double, String)]
    )
    func `a REAL is the shortest number with a point or an exponent`(value: Double, expected: String) {
        #expect(json { $0.real(value) } == expected)
    }

    @Test func `every REAL reads back as itself`() throws {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<10_000 {
            let value = Double(bitPattern: generator.next())
            guard value.isFinite else { continue }
            guard case .number(let read) = try JSONValue(parsing: json { $0.real(value) }) else {
                Issue.record("\(value) is not read as a REAL")
                continue
            }
            #expect(read.bitPattern == value.bitPattern)
        }
    }

    @Test func `a REAL with few digits is written as its description has it`() {
        var generator = SeededGenerator(seed: 14)
        for _ in 0..<20_000 {
            let digits =
                Int64.random(in: -9_999_999_999_999_999...9_999_999_999_999_999, using: &generator)
                >> (generator.next() % 54)
            let value = Double(digits) / [1, 10, 100, 1000, 10_000, 100_000][Int(generator.next() % 6)]
            #expect(json { $0.real(value) } == value.description)
        }
    }

    @Test func `a writer that has to grow keeps what it has`() {
        var writer = JSONWriter(capacityBytes: 0)
        writer.beginArray()
        for number in 0..<1000 { writer.integer(Int64(number)) }
        writer.endArray()
        let expected = "[" + (0..<1000).map(String.init).joined(separator: ",") + "]"
        #expect(writer.bytes == Array(expected.utf8))
        #expect(writer.withUnsafeBytes { Array($0) } == writer.bytes)
    }

    @Test func `text of every length and alignment is escaped as JSON demands`() throws {
        var generator = SeededGenerator(seed: 12)
        let alphabet = Array("abcdefgh\"\\\n\r\t\u{0}\u{1F}\u{7F}äß漢😀 /").map(String.init)
        for length in 0..<400 {
            let text = (0..<length % 50).map { _ in
                generator.next() % 4 == 0 ? alphabet.randomElement(using: &generator) ?? "" : "x"
            }.joined()
            let written = json { writer in
                var copy = text
                copy.withUTF8 { writer.text(UnsafeRawBufferPointer($0)) }
            }
            #expect(try JSONDecoder().decode(String.self, from: Data(written.utf8)) == text)
            #expect(json { $0.string(text) } == written)
        }
    }

    @Test(
        arguments: [[0xFF], [0x61, 0xC3], [0xED, 0xA0, 0x80], [0xC0, 0x80], Array("eight ok".utf8) + [0x80]]
            as [[UInt8]]
    )
    func `text that is not UTF-8 is written in base 64`(bytes: [UInt8]) {
        let text = json { writer in
            writer.beginArray()
            writer.null()
            bytes.withUnsafeBytes { writer.text($0) }
            writer.null()
            writer.endArray()
        }
        #expect(text == #"[null,{"$text":"\#(Data(bytes).base64EncodedString())"},null]"#)
    }

    @Test func `a BLOB of any length is base 64 with padding`() {
        var generator = SeededGenerator(seed: 13)
        for length in [0, 1, 2, 3, 4, 5, 3071, 3072, 3073, 10_000] {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let text = json { writer in bytes.withUnsafeBytes { writer.blob($0) } }
            #expect(text == #"{"$base64":"\#(Data(bytes).base64EncodedString())"}"#)
            #expect(Base64.encode(bytes) == Data(bytes).base64EncodedString())
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
    }

    @Test(arguments: ["A", "AA", "AAA", "AA=A", "A===", "AAA-", "AB==", "AA= ", "=AAA"])
    func `what is not base 64 is refused`(text: String) {
        #expect(Base64.decode(text) == nil)
    }
}
