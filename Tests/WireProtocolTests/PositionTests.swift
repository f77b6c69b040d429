import Testing
import WireProtocol

@Suite struct PositionTests {
    @Test func `a position is read as it is written`() throws {
        let position = Position(epoch: "k3x-_Z", sequence: .max)
        #expect(try Position(parsing: position.description) == position)
        #expect(position.description == "k3x-_Z:18446744073709551615")
    }

    @Test(arguments: [
        ("", "no colon"), ("abc", "no colon"), (":1", "epoch"), ("a b:1", "epoch"), ("a:", "number"),
        ("a:-1", "number"), ("a:+1", "number"),
        ("a:18446744073709551616", "number"), ("a:1:2", "number"),
        (String(repeating: "e", count: 65) + ":1", "epoch"),
    ])
    func `what is no position is refused with the reason`(text: String, reason: String) {
        let error = #expect(throws: ProtocolError.self) { try Position(parsing: text) }
        #expect(error?.code == .invalidMessage)
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
    }

    @Test func `positions are ordered only within their epoch`() {
        let first = Position(epoch: "a", sequence: 1)
        #expect(first.isBefore(first.next) == true)
        #expect(first.next.isBefore(first) == false)
        #expect(first.isBefore(Position(epoch: "b", sequence: 2)) == nil)
    }
}
