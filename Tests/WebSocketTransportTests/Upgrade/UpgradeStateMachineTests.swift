import NIOCore
import NIOHTTP1
import Testing

@testable import WebSocketTransport

@Suite struct UpgradeStateMachineTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let webSocket = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/ws")
    private let refusal = UpgradeRefusal(.badRequest, "no")

    private func machine() -> UpgradeStateMachine {
        var machine = UpgradeStateMachine(
            timeouts: .init(handshake: .seconds(10), keepAlive: .seconds(60), body: .seconds(20), linger: .seconds(2))
        )
        machine.begin(now: start)
        return machine
    }

    private func get(_ headers: HTTPHeaders = [:], version: HTTPVersion = .http1_1) -> HTTPRequestHead {
        HTTPRequestHead(version: version, method: .GET, uri: "/", headers: headers)
    }

    private func expect<Value: Equatable>(
        _ found: Value,
        _ expected: Value,
        _ comment: Comment? = nil,
        _ location: SourceLocation = #_sourceLocation
    ) {
        #expect(found == expected, comment, sourceLocation: location)
    }

    @Test func `a request for a WebSocket is decided when it is complete`() {
        var machine = machine()
        expect(machine.receivedHead(webSocket, isForWebSocket: true), .wait)
        expect(machine.receivedBody(byteCount: 3, now: start), false)
        expect(machine.receivedEnd(now: start), .complete(.decide(webSocket)))
    }

    @Test func `a request for a WebSocket waits for the responses to earlier requests`() {
        var machine = machine()
        for isFirst in [true, false] {
            expect(machine.receivedHead(get(), isForWebSocket: false), .pass(isFirst: isFirst, expectsContinue: false))
            expect(machine.receivedEnd(now: start), .pass)
        }
        expect(machine.receivedHead(webSocket, isForWebSocket: true), .wait)
        expect(machine.receivedEnd(now: start), .complete(nil))
        expect(machine.mayRead(now: start), false)
        #expect(machine.holdsRead)
        expect(machine.sendEnd(now: start), .more)
        expect(machine.sendEnd(now: start), .answered(.decide(webSocket)))
    }

    @Test func `an invalid request is refused after the responses to earlier requests`() {
        var machine = machine()
        expect(machine.receivedInvalidHead(refusal, isHead: true), .refuse(refusal, lingers: true))
        #expect(machine.isHead)
        machine = self.machine()
        _ = machine.receivedHead(get(), isForWebSocket: false)
        _ = machine.receivedEnd(now: start)
        expect(machine.receivedInvalidHead(refusal, isHead: false), nil)
        expect(machine.receivedEnd(now: start), .ignore)
        expect(machine.sendEnd(now: start), .answered(.refuse(refusal, lingers: false)))
    }

    @Test func `nothing after a refusal is a request`() {
        var machine = machine()
        machine.refuse()
        #expect(!machine.expectsHead)
        expect(machine.receivedBody(byteCount: 1, now: start), false)
        expect(machine.receivedEnd(now: start), .ignore)
        expect(machine.checkTime(now: start + .hours(1)), nil)
    }

    @Test(arguments: [
        (HTTPHeaders([("Connection", "close")]), HTTPVersion.http1_1),
        (HTTPHeaders([("Upgrade", "h2c")]), HTTPVersion.http1_1), (HTTPHeaders(), HTTPVersion.http1_0),
    ])
    func `a connection ends with the response`(headers: HTTPHeaders, version: HTTPVersion) {
        var machine = machine()
        _ = machine.receivedHead(get(headers, version: version), isForWebSocket: false)
        var head = HTTPResponseHead(version: .http1_1, status: .ok)
        machine.sendHead(&head)
        #expect(head.headers["Connection"] == ["close"])
        #expect(head.version == version)
        expect(machine.sendEnd(now: start), .closes)
        #expect(machine.mustLinger, "the end of the request is missing")
        _ = machine.receivedEnd(now: start)
        #expect(!machine.mustLinger)
    }

    @Test func `the HTTP server can end the connection too`() {
        var machine = machine()
        _ = machine.receivedHead(get(), isForWebSocket: false)
        _ = machine.receivedEnd(now: start)
        var head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["Connection": "Close"])
        machine.sendHead(&head)
        expect(machine.sendEnd(now: start), .closes)
    }

    @Test func `only the first of pipelined requests is encouraged to send its body`() {
        var machine = machine()
        let head = get(["Expect": "100-continue"])
        expect(machine.receivedHead(head, isForWebSocket: false), .pass(isFirst: true, expectsContinue: true))
        _ = machine.receivedEnd(now: start)
        expect(machine.receivedHead(head, isForWebSocket: false), .pass(isFirst: false, expectsContinue: false))
    }

    @Test func `a first request that does not come is refused, a later one ends the connection`() {
        var machine = machine()
        expect(machine.checkTime(now: start + .seconds(9)), nil)
        expect(machine.checkTime(now: start + .seconds(10)), .refuse)
        _ = machine.receivedHead(get(), isForWebSocket: false)
        _ = machine.receivedEnd(now: start)
        expect(machine.checkTime(now: start + .hours(1)), nil, "a response is in progress")
        _ = machine.sendEnd(now: start + .hours(1))
        expect(machine.checkTime(now: start + .hours(1) + .seconds(59)), nil)
        expect(machine.checkTime(now: start + .hours(1) + .seconds(60)), .close)
    }

    @Test func `a body has time while the server waits for it`() {
        var machine = machine()
        _ = machine.receivedHead(get(), isForWebSocket: false)
        expect(machine.mayRead(now: start), true)
        expect(machine.checkTime(now: start + .seconds(20)), .close)
        expect(machine.receivedBody(byteCount: 1, now: start + .seconds(10)), true)
        expect(machine.checkTime(now: start + .hours(1)), nil, "the server does not read")
    }

    @Test func `a connection that lingers ends at its time, or with its request`() {
        var machine = machine()
        _ = machine.receivedInvalidHead(refusal, isHead: false)
        machine.refuse()
        machine.linger(now: start)
        #expect(machine.isLingering)
        expect(machine.checkTime(now: start + .seconds(1)), nil)
        expect(machine.checkTime(now: start + .seconds(2)), .close, "it is refused only once")
        expect(machine.receivedEnd(now: start), .close)
    }

    @Test func `a shutdown ends idle connections at once and incomplete requests soon`() {
        var machine = machine()
        expect(machine.quiesce(now: start), true)
        _ = machine.receivedHead(webSocket, isForWebSocket: true)
        expect(machine.quiesce(now: start), false)
        expect(machine.checkTime(now: start + .seconds(2)), .close)
        machine = self.machine()
        _ = machine.receivedHead(get(), isForWebSocket: false)
        _ = machine.receivedEnd(now: start)
        expect(machine.quiesce(now: start), false, "its response is in progress")
        expect(machine.checkTime(now: start + .hours(1)), nil)
    }

    @Test func `an answer of the application counts while the connection is open`() {
        var machine = machine()
        _ = machine.receivedHead(webSocket, isForWebSocket: true)
        _ = machine.receivedEnd(now: start)
        machine.authorize()
        #expect(machine.isAuthorizing)
        machine.end()
        #expect(!machine.isAuthorizing && machine.isDone)
    }
}
