import ChangeCapture
import OracleSupport
import Testing

@Suite struct PageMapTests {
    private let catalog = TreeCatalog(
        encoding: .utf8,
        trees: [3, 4].map { TreeCatalog.Tree(rootPage: $0, kind: .rowidTable, layout: nil) }
    )

    @Test func `every page leads to its tree, and pages of no tree to none`() throws {
        let image = try Fixture.image("auto-vacuum.db")
        let map = try PageMap.build(from: image, catalog: catalog)
        for (index, root) in [UInt32(1), 3, 4].enumerated() {
            try TreeWalk(root: root, in: image).forEachPage(in: image) { (number, _, _) throws(WALDecodeError) in
                #expect(map.tree(of: number) == index)
            }
        }
        #expect(map.tree(of: 2) == nil, "the pointer map")
        #expect(map.tree(of: 0) == nil)
        #expect(map.tree(of: image.pageCount + 1) == nil)
        #expect(map.differences(from: map) == [])
    }

    @Test func `two roots on one page are an error`() throws {
        let image = try Fixture.image("auto-vacuum.db")
        let twice = TreeCatalog(
            encoding: .utf8,
            trees: [3, 3].map { TreeCatalog.Tree(rootPage: $0, kind: .rowidTable, layout: nil) }
        )
        #expect(throws: WALDecodeError(page: 3, .pageInTwoPlaces)) {
            try PageMap.build(from: image, catalog: twice)
        }
    }

    @Test func `a root past the end is an error`() throws {
        let image = try Fixture.image("auto-vacuum.db")
        let beyond = TreeCatalog(
            encoding: .utf8,
            trees: [TreeCatalog.Tree(rootPage: 5000, kind: .index, layout: nil)]
        )
        #expect(throws: WALDecodeError(page: 5000, .pageOutOfRange)) {
            try PageMap.build(from: image, catalog: beyond)
        }
    }
}
