import Testing

@testable import WebSocketTransport

@Suite struct DeflateAgreementTests {
    private let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

    private func response(_ offer: String) -> String? {
        DeflateAgreement(offers: ExtensionOffer.parse([offer]))?.response
    }

    @Test(arguments: [
        "permessage-deflate", "PerMessage-Deflate ; Client_Max_Window_Bits",
        "permessage-deflate;client_max_window_bits=8",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; client_max_window_bits=\"12\"", "other; x=1, permessage-deflate",
        "permessage-deflate; server_max_window_bits=8, permessage-deflate",
    ])
    func `an offer without a server window is accepted without context in either direction`(offer: String) {
        #expect(response(offer) == plain)
    }

    @Test func `a window for the server is kept to`() throws {
        #expect(response("permessage-deflate; server_max_window_bits=10") == plain + "; server_max_window_bits=10")
        let offers = ExtensionOffer.parse(["permessage-deflate; server_max_window_bits=10"])
        #expect(try #require(DeflateAgreement(offers: offers)).sharedWindowBits == 9)
    }

    @Test(arguments: [
        "", "deflate", "permessage-deflate; unknown", "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_max_window_bits", "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; client_max_window_bits=7", "permessage-deflate; client_max_window_bits=x",
        "permessage-deflate; client_max_window_bits; client_max_window_bits", "permessage-deflate;;",
        "permessage-deflate; a b",
        ",;=",
    ])
    func `what cannot be served is declined`(offer: String) {
        #expect(response(offer) == nil)
    }

    @Test func `a client accepts only an answer to its offer`() throws {
        let right = try #require(ExtensionOffer.parse([plain]).first)
        #expect(DeflateAgreement(answer: right) != nil)
        let keepsContext = try #require(ExtensionOffer.parse(["permessage-deflate"]).first)
        #expect(DeflateAgreement(answer: keepsContext) == nil)
    }
}
