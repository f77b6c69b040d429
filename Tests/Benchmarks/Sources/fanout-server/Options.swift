/// The options that the measuring programs pass to a server: `--port P --conns N --messages M --rate R --burst B --size
/// BYTES`.
struct Options: Sendable {
    var port = 3001
    /// Publishing begins after this many clients.
    var conns = 100
    var messages = 1_000
    /// Messages a second; 0 for the maximum rate.
    var rate = 0.0
    /// Messages in one turn of the event loop, at rate 0.
    var burst = 1
    /// Of a message, about.
    var size = 250
    var threads = 1

    init(_ arguments: [String]) throws {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let text = rest.popFirst(), let value = Double(text), value >= 0 else {
                throw Unusable(message: "\(name) needs a number")
            }
            switch name {
            case "--port": port = Int(value)
            case "--conns": conns = Int(value)
            case "--messages": messages = Int(value)
            case "--rate": rate = value
            case "--burst": burst = max(1, Int(value))
            case "--size": size = Int(value)
            case "--threads": threads = max(1, Int(value))
            default: throw Unusable(message: "\(name) is not an option")
            }
        }
    }

    struct Unusable: Error, CustomStringConvertible {
        let message: String
        var description: String { message }
    }
}
