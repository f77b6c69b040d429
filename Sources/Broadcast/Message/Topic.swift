/// What several clients follow besides the channels, such as one query: each message to it is encoded once for all of them.
package struct Topic: Hashable, Sendable, Comparable {
    package let number: UInt64

    package init(_ number: UInt64) { self.number = number }

    package static func < (left: Topic, right: Topic) -> Bool { left.number < right.number }
}
