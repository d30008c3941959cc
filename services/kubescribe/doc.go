// Package kubescribe runs every role in one process, on an embedded NATS
// server. The roles are those of the services, on the same bus: no shortcut
// exists that this mode takes.
//
// Consumes what the watcher does (API watches, a configuration); produces what
// the git-writer does (commits). Keeps, in a data directory that one process at a
// time may use, the bus (nats/, every write synced), caches of remotes (git/),
// which install it is (VERSION), and how local programs reach the bus (nats.json).
//
// Promises: what the bus has acknowledged survives any end of the process, and
// the next start goes on from it; a stop, even in the middle of a start, ends
// within 10 s and is no failure; what cannot be reached is waited for; a data
// directory that is in use, of another version or of another install is refused.
package kubescribe
