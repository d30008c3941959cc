// Package secretmark tells whether two versions of a sensitive object are the same, to those
// who can read neither.
//
// What stands in Git of a Secret is encrypted, differently each time, and who encrypts it
// cannot decrypt it. So the file carries a mark: a keyed digest (HMAC-SHA256, RFC 2104) of the
// plaintext manifest and of whose it is. Whoever reads the repository learns from it when a
// Secret changes, as from its commits; without the key no guess can be tested, and as the
// cluster and the name are in it, equal passwords of two Secrets do not show.
//
//	Key.Mark ── the watcher, which has the plaintext and the key
//	Hash     ── mark, recipients and fields as a content hash, like [manifest.Hash] of others
//
// Nothing here but the standard library, and no value of a Secret in any error.
//
// [manifest.Hash]: https://pkg.go.dev/github.com/kubescribe/kubescribe/shared/manifest#Hash
package secretmark
