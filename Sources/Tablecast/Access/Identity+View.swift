package import Broadcast
import QueryService
import WireProtocol

/// What an identity with a list of tables sees of what others do: nothing of other tables.
extension Identity {
    /// For the hub; nil for an identity that sees everything.
    package var restriction: Restriction? { tables.map { Restriction(identityID: id, tables: $0) } }

    /// A list of users without the cursors, and the texts they are in, that are not for this identity.
    func visible(_ list: UserListPayload, author: (_ userID: String) -> Identity?) -> UserListPayload {
        guard let restriction else { return list }
        var visible = list
        for index in visible.users.indices {
            let user = visible.users[index]
            visible.users[index].cursor = user.cursor.flatMap { restriction.visible($0, of: author(user.userID)) }
        }
        return visible
    }
}

extension Restriction {
    func includes(table name: String) -> Bool { TableNames(tables).contains(name) }

    /// Where another client's cursor is, as far as it may be known; nil for a cell of another table.
    ///
    /// A text can quote anything that its author may read, so it is for those who may read as much.
    func visible(_ location: CursorLocation, of author: Identity?) -> CursorLocation? {
        switch location {
        case .cell(let table, _, _):
            return includes(table: table) ? location : nil
        case .text:
            let readable = author?.tables
            return readable.map { $0.allSatisfy(includes) } ?? false ? location : location.withoutText
        }
    }
}
