import RandomSupport
import Testing

@testable import WebSocketTransport

@Suite struct ConnectionTableTests {
    private func table(maxPending: Int = 4, maxUnknownPerAddress: Int = 4) -> ConnectionTable {
        ConnectionTable(limits: .init(maxPending: maxPending, maxUnknownPerAddress: maxUnknownPerAddress))
    }

    private let ada = ClientAddress("192.0.2.1")
    private let bob = ClientAddress("192.0.2.2")

    @Test func `an address that has its share displaces its own oldest connection`() {
        var table = table(maxPending: 10, maxUnknownPerAddress: 2)
        #expect(table.admit(1, from: ada) == .admitted)
        #expect(table.admit(2, from: ada) == .admitted)
        #expect(table.admit(3, from: bob) == .admitted)
        #expect(table.admit(4, from: ada) == .evicting(1))
        #expect(table.admit(5, from: ada) == .evicting(2))
        #expect(table.admit(6, from: bob) == .admitted)
        #expect(table.pendingCount == 4)
    }

    @Test func `a newcomer displaces the oldest of the address that has most`() {
        var table = table()
        for id in 1...3 { #expect(table.admit(UInt64(id), from: ada) == .admitted) }
        #expect(table.admit(4, from: bob) == .admitted)
        #expect(table.admit(5, from: bob) == .evicting(1))
        #expect(table.pendingCount == 4)
    }

    @Test func `connections with a token are displaced after those without one, and never while being answered`() {
        var table = table(maxPending: 3)
        for id in 1...3 { _ = table.admit(UInt64(id), from: ada) }
        table.enter(.working, 1)
        table.enter(.idle, 2)
        #expect(table.admit(4, from: bob) == .evicting(3))
        #expect(table.admit(5, from: bob) == .evicting(4))
        table.enter(.working, 5)
        #expect(table.admit(6, from: bob) == .evicting(2))
        table.enter(.working, 6)
        #expect(table.admit(7, from: bob) == .refused)
        table.remove(6)
        #expect(table.admit(8, from: bob) == .admitted)
    }

    @Test func `clients do not count among the pending`() {
        var table = table(maxPending: 1)
        for id in 1...100 {
            #expect(table.admit(UInt64(id), from: ada) == .admitted)
            table.enter(.client, UInt64(id))
        }
        #expect(table.pendingCount == 0)
        table.enter(.idle, 1)
        #expect(table.admit(101, from: ada) == .evicting(1))
    }

    @Test func `connections of a proxy count to no address until it reports one`() {
        var table = table(maxPending: 10, maxUnknownPerAddress: 1)
        for id in 1...5 { #expect(table.admit(UInt64(id), from: nil) == .admitted) }
        #expect(table.move(1, to: ada) == nil)
        #expect(table.move(2, to: ada) == 1)
        #expect(table.move(3, to: bob) == nil)
        #expect(table.move(2, to: ada) == nil, "it is there already")
    }

    /// Compares the counts with a plain list of the connections.
    @Test func `whatever happens, no bound is passed and the oldest unknown goes first`() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        var table = table(maxPending: 6, maxUnknownPerAddress: 3)
        var model: [(id: UInt64, address: ClientAddress?, phase: ConnectionTable.Phase)] = []
        let addresses = [ada, bob, ClientAddress("2001:db8::1")]
        for step in 1...5_000 {
            let id = UInt64(step)
            if Bool.random(using: &random) {
                let address = addresses.randomElement(using: &random) ?? nil
                switch table.admit(id, from: address) {
                case .refused:
                    #expect(model.count { $0.phase == .working } >= 6, "seed \(seed)")
                    continue
                case .evicting(let victim):
                    let index = model.firstIndex { $0.id == victim }
                    #expect(
                        index.map { model[$0].phase == .unknown || model[$0].phase == .idle } == true,
                        "seed \(seed)"
                    )
                    if let index { model.remove(at: index) }
                case .admitted: break
                }
                model.append((id, address, .unknown))
            } else if let index = model.indices.randomElement(using: &random) {
                // A client whose stream ends is one more pending connection, even at the limit.
                let hasRoom = model[index].phase != .client || model.count { $0.phase != .client } < 6
                switch Int.random(in: 0..<4, using: &random) {
                case 0: table.remove(model.remove(at: index).id)
                case 1 where hasRoom:
                    model[index].phase = .working
                    table.enter(.working, model[index].id)
                case 2:
                    model[index].phase = .client
                    table.enter(.client, model[index].id)
                default:
                    guard hasRoom, model[index].phase != .unknown else { continue }
                    model[index].phase = .idle
                    table.enter(.idle, model[index].id)
                }
            }
            #expect(table.pendingCount == model.count { $0.phase != .client }, "seed \(seed)")
            #expect(table.pendingCount <= 6, "seed \(seed)")
            for address in addresses {
                #expect(model.count { $0.phase == .unknown && $0.address == address } <= 3, "seed \(seed)")
            }
        }
    }
}
