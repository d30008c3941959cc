// Package repo writes one branch of one remote repository: it reads the tip,
// builds commits on it in memory and pushes them by compare-and-swap.
//
// The remote branch is the commit point. What was handed to [Branch.Commit]
// stays pending until a push or a fetch found it in the remote branch, whatever
// fails in between; the directory on disk is a cache of fetched objects whose
// loss costs one fetch, so nothing here is ever synced to disk.
//
// Old, in the one command of a push, is the commit that was built on, never
// what the server advertised, so a commit that arrived in between is never
// overwritten, and no push is ever forced. A push that did not plainly succeed is
// judged by reading the branch again, not by the text of its failure.
//
// What a crash leaves behind: before the push landed, nothing at all (the
// caller still holds its messages); after it landed, commits on the remote whose
// trailers say how far they reach, which the next [Branch.Fetch] and
// [Branch.Walk] find.
package repo
