// Package router sends each change to the destinations that it is for.
//
// Consumes KS_EVENTS and the registry (KS_DESTINATION); produces KS_LIVE. Keeps
// nothing but a cursor for each of its parts, in KS_LIVE itself.
//
// Promises: each event of a part reaches each destination that it names, and that is
// registered, once, in the part's order (I1–I3), under a registry at least as new as the
// one its watcher had seen, so that nothing falls between the registering of a
// destination and its first snapshot.
package router
