import Foundation
import Testing

@testable import TablecastWeb

@Suite struct WebAssetsTests {
    let assets = WebAssets()

    @Test func `every file of the page and of the client is served`() throws {
        let files = try ["Page", "Client"].flatMap { folder in
            let url = URL(filePath: #filePath).deletingLastPathComponent()
                .appending(path: "../../Sources/TablecastWeb/\(folder)").standardized
            return try FileManager.default.contentsOfDirectory(at: url, includingPropertiesForKeys: nil)
        }.filter { $0.lastPathComponent != "package.json" }
        let served = Set(assets.paths.compactMap { assets.asset(at: $0)?.bytes })
        for file in files {
            #expect(served.contains([UInt8](try Data(contentsOf: file))), "\(file.lastPathComponent) is not served")
        }
        #expect(assets.paths.count == files.count)
    }

    @Test func `whatever the page and its modules refer to is served`() throws {
        let reference = try Regex<(Substring, Substring)>(#"(?:src|href|from|import)[ =(]*"(\.?/[^"]+)""#)
        for path in assets.paths {
            let text = String(decoding: try #require(assets.asset(at: path)).bytes, as: UTF8.self)
            for match in text.matches(of: reference) {
                let folder = path.hasPrefix("/assets/") ? "/assets/" : "/"
                let target = match.1.hasPrefix("./") ? folder + match.1.dropFirst(2) : String(match.1)
                #expect(assets.asset(at: target) != nil, "\(path) refers to \(target)")
            }
        }
    }

    @Test(arguments: [("/", "text/html"), ("/tablecast.js", "text/javascript"), ("/tablecast.d.ts", "text/plain")])
    func `a file has the type that browsers insist on`(path: String, type: String) throws {
        #expect(try #require(assets.asset(at: path)).contentType == "\(type); charset=utf-8")
    }

    @Test func `scripts come only from this origin and nothing is inline`() throws {
        let headers = try #require(assets.asset(at: "/")).headers
        let policy = try #require(headers.first { $0.name == "Content-Security-Policy" }).value
        #expect(policy.contains("script-src 'self'"))
        #expect(!policy.contains("unsafe"))
        let page = String(decoding: try #require(assets.asset(at: "/")).bytes, as: UTF8.self)
        #expect(!page.contains("style=") && !page.contains("<style") && !page.contains(" on"))
        #expect(page.matches(of: try Regex("<script(?![^>]*src=)")).isEmpty)
    }

    @Test func `a version that the browser has is recognised`() throws {
        let asset = try #require(assets.asset(at: "/tablecast.js"))
        #expect(asset.matches(ifNoneMatch: asset.entityTag))
        #expect(asset.matches(ifNoneMatch: "\"other\", W/\(asset.entityTag)"))
        #expect(asset.matches(ifNoneMatch: "*"))
        #expect(!asset.matches(ifNoneMatch: "\"other\""))
        #expect(try #require(assets.asset(at: "/")).entityTag != asset.entityTag)
    }

    @Test func `an unknown path is nothing`() {
        #expect(assets.asset(at: "/assets/../Package.swift") == nil)
        #expect(assets.asset(at: "") == nil)
    }
}
