// Package gitwriter is the only writer of Git: one branch worker for each
// remote branch that destinations point to.
//
// Consumes KS_WRITE, the registry (KS_DESTINATION) and sealed Secrets (KS_CREDENTIAL);
// produces commits, what stands in a destination's status (KS_STATUS), for each BARRIER
// of a run what the base folder holds on the remote (KS_SNAP, side repo), and what a branch
// gives up that cannot move when KS_WRITE has no room for it (KS_PHASE, REQUEST_RUN). Keeps, in the commits
// themselves, how far each branch has come, and a hint of it (KS_CURSOR).
//
// Promises: every change of a destination becomes a commit of its own, or part
// of a run's, once and in order (I1–I3), but for those beyond the limit of their object, of
// which the newest does, at most a minute later; no push is forced, and commits of
// others are never lost (I8); two writers of one branch interleave and never
// overwrite (I7); nothing is removed but by a DELETE (I6); a folder that is not
// ours is refused; a file that holds several resources is never changed; a remote that
// names a Secret is opened by that alone, which comes as files or sealed by the watcher, and
// stands in no log, error, status or metric; with a key every commit is signed. It has no
// Kubernetes rights.
package gitwriter
