import RandomSupport
import Testing

@testable import WireProtocol

/// Any bytes from a client produce either a message or an error that names the problem.
@Suite struct FuzzTests {
    private static let messages = [
        #"{"id":"1","type":"subscribe","channel":"tables","data":{"tables":["a*","[b-d]?"],"operations":["insert"],"rows":"keys","since":"e:5"}}"#,
        #"{"type":"query:execute","data":{"sql":"SELECT ?1, 'é😀'","params":[1,-1.5e3,"x\u00e9\ud83d\ude00",null,true,{"$int64":"9007199254740993"},{"$base64":"AQID"}],"timeout":100}}"#,
        #"{"type":"query:execute","data":{"sql":"x","params":{":a":{"$real":"-Infinity"},"b":{"$text":"/w=="}},"atomic":false}}"#,
        #"{"type":"user:cursor","data":{"position":{"line":1,"column":2},"selection":{"start":{"line":1,"column":0},"end":{"line":1,"column":2}}}}"#,
        #"{"type":"user:cursor","data":{"table":"t","row":{"$int64":"5"},"column":"c"}}"#,
        #"{"type":"unsubscribe","channel":"queries"}"#,
    ]

    @Test(arguments: 1...4) func `damaged messages are read or refused`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var accepted = 0
        for _ in 0..<4000 {
            var bytes = Array((Self.messages.randomElement(using: &random) ?? "").utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) { damage(&bytes, &random) }
            do throws(ProtocolError) {
                _ = try ClientMessage(parsing: bytes)
                accepted += 1
            } catch {
                let known: [ErrorCode] = [.invalidMessage, .unknownType, .unknownChannel]
                #expect(
                    known.contains(error.code) && !error.message.isEmpty && error.message.utf8.count < 2000,
                    "seed \(seed)"
                )
            }
            _ = try? Envelope(parsing: bytes)
        }
        #expect(accepted > 20, "seed \(seed)")
    }

    @Test func `random patterns match or do not, and end`() throws {
        var random = SeededGenerator(seed: 9)
        let alphabet = Array("ab*?[]^-Ä")
        func text(_ length: Int) -> String {
            String((0..<length).compactMap { _ in alphabet.randomElement(using: &random) })
        }
        for _ in 0..<4000 {
            let pattern = text(Int.random(in: 1...12, using: &random))
            let name = text(Int.random(in: 0...12, using: &random))
            let filter = try TableFilter(tables: [pattern])
            #expect(filter.includes(table: pattern), "\(pattern)")
            if pattern.allSatisfy({ $0 == "*" }) { #expect(filter.includes(table: name)) }
            _ = filter.includes(table: name)
        }
    }

    private func damage(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
        guard !bytes.isEmpty else { return }
        let index = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: index)
        case 2: bytes.insert(Array("{}[]\",:\\0-e9u".utf8).randomElement(using: &random) ?? 0, at: index)
        case 3: bytes.removeSubrange(index...)
        default: bytes.insert(contentsOf: bytes[index...].prefix(20), at: index)
        }
    }
}
