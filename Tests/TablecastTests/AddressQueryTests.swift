import Testing
import WireProtocol

@testable import Tablecast

@Suite struct AddressQueryTests {
    @Test func `plus signs and escapes are decoded, and what is no escape stays`() throws {
        let query = AddressQuery(of: "/events?a=my+table&b=my%20table&c=%C3%BC%2B&d=100%&e&=f#a=x")
        #expect(try query.value("a") == "my table")
        #expect(try query.value("b") == "my table")
        #expect(try query.value("c") == "ü+")
        #expect(try query.value("d") == "100%")
        #expect(try query.value("e") == "")
        #expect(try query.value("") == "f")
        #expect(try query.value("g") == nil)
        #expect(AddressQuery(of: "/events").fields.isEmpty)
    }

    @Test func `a field that is there twice is refused by its name`() throws {
        let error = #expect(throws: ProtocolError.self) {
            try ConnectionParameters(uri: "/ws?channels=tables&username=ada&channels=queries")
        }
        #expect(error?.code == .invalidMessage)
        #expect(error?.message.contains("channels") == true)
    }
}
