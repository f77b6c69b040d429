import Foundation
import Testing

@testable import WireProtocol

@Suite struct WireValueTests {
    static let values: [(WireValue, String)] = [
        (.null, "null"), (.integer(5), "5"), (.integer(.max), #"{"$int64":"9223372036854775807"}"#),
        (.real(1.5), "1.5"),
        (.real(2), "2.0"), (.real(-.infinity), #"{"$real":"-Infinity"}"#), (.text("ä"), #""ä""#),
        (.malformedText([0xFF]), #"{"$text":"/w=="}"#), (.blob([1, 2]), #"{"$base64":"AQI="}"#),
    ]

    @Test(arguments: values) func `each storage class is written and read in its form`(value: WireValue, json: String)
        throws
    {
        var writer = JSONWriter()
        writer.value(value)
        #expect(String(decoding: writer.bytes, as: UTF8.self) == json)
        #expect(try WireValue(JSONValue(parsing: json)) == value)
    }

    @Test func `JSONEncoder and JSONDecoder keep values`() throws {
        for (value, _) in Self.values where value != .real(2) {
            let data = try JSONEncoder().encode([value])
            #expect(try JSONDecoder().decode([WireValue].self, from: data) == [value])
        }
    }

    @Test func `true and false are 1 and 0`() throws {
        #expect(try WireValue(true) == .integer(1))
        #expect(try WireValue(false) == .integer(0))
    }

    @Test func `text in base 64 that is UTF-8 after all is text`() throws {
        #expect(try WireValue(["$text": "YWI="]) == .text("ab"))
    }

    @Test(
        arguments: [
            (["$int64": 5], "found an object"), (["$int64": "x"], #"found "x" in {"$int64":…}"#),
            (["$base64": "?"], "$base64"),
            (["$real": "NaN"], "NaN"), (["$date": "x"], "found an object"), ([1], "found an array"),
            (["$int64": "1", "b": 1], "found an object"),
        ] as [(JSONValue, String)]
    )
    func `what stands for no value is refused with what was found`(json: JSONValue, message: String) {
        let error = #expect(throws: WireValueError.self) { try WireValue(json) }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    }
}
