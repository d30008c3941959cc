// Package branch writes one branch of one remote: the only writer of its writer
// shard, whatever number of destinations share it.
//
// It is a loop: take what waits in KS_WRITE, build commits, push them together,
// take what gathered meanwhile. Low load pays for one push and no window; high
// load shares pushes.
//
// A BARRIER ends what is taken together: what is before it is pushed, and the run
// that asks is told what the folder holds on the remote, before anything behind it
// is committed.
//
// An object may have a limit of commits. Its versions beyond that are held: the newest
// one, listed by the commits that are past it, until its turn comes. Nothing else waits.
//
// What was consumed is known from the branch itself: each commit carries the
// position in KS_WRITE up to which everything is in it. A session, at start or
// after any doubt, reads that position and goes on behind it, so a crash at any
// point loses nothing and commits nothing twice.
package branch
