import Foundation
import Testing

@testable import WireProtocol

@Suite struct JSONParserTests {
    @Test func `every kind of value is read`() throws {
        let text = #" { "a" : [ null , true , false , -12 , 1.5 , 1e2 , "x" ] , "b" : { } } "#
        let value = try JSONValue(parsing: text)
        #expect(value == ["a": [nil, true, false, -12, 1.5, 100.0, "x"], "b": [:]])
    }

    @Test func `one and one point zero are an integer and a number`() throws {
        #expect(try JSONValue(parsing: "[1,1.0]") == .array([.integer(1), .number(1)]))
    }

    @Test func `a whole number beyond 64 bits is a number`() throws {
        #expect(try JSONValue(parsing: "9223372036854775808") == .number(9_223_372_036_854_775_808))
    }

    @Test func `escapes are read, surrogate pairs too`() throws {
        #expect(
            try JSONValue(parsing: #""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00z""#) == .string("a\"\\/\u{8}\u{C}\n\r\té😀z")
        )
    }

    @Test(arguments: [
        ("", 0, "found the end"), ("{", 1, "field's name"), (#"{"a"}"#, 4, "colon"), (#"{"a":1,}"#, 7, "field's name"),
        ("[1,]", 3, "expected a value, found ]"), ("01", 2, "begin with 0"), ("-", 1, "digit"), ("1.", 2, "digit"),
        ("1e", 2, "digit"), ("1e999", 5, "does not fit"), ("nul", 3, "expected null"), ("1 2", 2, "expected the end"),
        (#""a"#, 2, "does not end"), ("\"\n\"", 1, "control character"), (#""\x""#, 2, "unknown escape \\x"),
        (#""\u12g4""#, 5, "hexadecimal"), (#""\ud800""#, 7, "surrogate"), (#""\udc00""#, 7, "surrogate"),
        ("'a'", 0, "found '"),
    ])
    func `what is not JSON is refused with place and reason`(text: String, offset: Int, reason: String) {
        let error = #expect(throws: JSONParsingError.self) { try JSONValue(parsing: text) }
        #expect(error?.offset == offset)
        #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "")")
    }

    @Test func `a string that is not UTF-8 is refused`() {
        #expect(throws: JSONParsingError.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
    }

    @Test func `depth is limited`() {
        #expect(throws: Never.self) {
            try JSONValue(parsing: String(repeating: "[", count: 63) + String(repeating: "]", count: 63))
        }
        let error = #expect(throws: JSONParsingError.self) {
            try JSONValue(parsing: String(repeating: "[", count: 100_000))
        }
        #expect(error?.description == "nested deeper than 64 levels, which is the limit, at byte 64")
    }

    @Test func `what was read is written the same`() throws {
        let text = #"{"a":[null,true,false,-12,1.5,"ä\n"],"b":{}}"#
        var writer = JSONWriter()
        writer.value(try JSONValue(parsing: text))
        #expect(String(decoding: writer.bytes, as: UTF8.self) == text)
    }

    @Test func `JSONDecoder and JSONEncoder agree`() throws {
        let text = #"{"a":[null,true,false,-12,1.5,"ä\n"],"b":{}}"#
        let value = try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
        #expect(try value == JSONValue(parsing: text))
        #expect(try JSONValue(parsing: JSONEncoder().encode(value)) == value)
    }
}
