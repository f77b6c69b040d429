#if NATS
    import NATSConnection
    import Testing

    /// Keys of users in the files of other programs.
    struct NKeyTests {
        private let seed = "SUAHJN4MATCY63XUJNOKVJ7CUTA5T3CEQCYDPKNQC2KERDHWBZSMANIPNM"
        private let publicKey = "UAB2MAUQA2EIUYVKKOQGFBDXG6VRLGVIDUQMMWBJGDF7EB4RNJ7QLBRJ"

        @Test func `the public key follows from the seed, wherever it is in the file`() throws {
            let armored = "-----BEGIN USER NKEY SEED-----\r\n\(seed)\r\n------END USER NKEY SEED------\r\n"
            for text in [seed, "\(seed)\n", "# SU is a key\n\(publicKey)\n \(seed)\n", armored] {
                #expect(try NKey(parsing: text).publicKey == publicKey)
            }
        }

        @Test func `text without a valid seed of a user is refused`() {
            let changed = seed.replacing("SUAH", with: "SUAI")
            let ofAccount = "SAAHJN4MATCY63XUJNOKVJ7CUTA5T3CEQCYDPKNQC2KERDHWBZSMANIPNM"
            for text in ["", publicKey, changed, ofAccount, String(seed.dropLast()), seed.lowercased(), "SU"] {
                #expect(throws: NATSError.self) { try NKey(parsing: text) }
            }
        }
    }
#endif
