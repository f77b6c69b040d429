import Testing
import WireProtocol

@Suite struct MessageTypeTests {
    @Test(arguments: [
        "table:created", "query:anything", "user:x", "token:x", "connection:ack", "subscribed", "error", "heartbeat",
    ])
    func `types of the protocol are reserved`(name: String) {
        #expect(MessageType(name).isReserved)
    }

    @Test func `types of an application are free as long as they fit on a line`() {
        #expect(!MessageType("chat:message").isReserved)
        #expect(MessageType("chat:message").isWellFormed)
        for name in ["", "a\nb", "a\u{7F}", String(repeating: "a", count: 129)] {
            #expect(!MessageType(name).isWellFormed)
        }
    }
}
