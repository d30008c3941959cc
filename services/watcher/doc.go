// Package watcher turns a cluster's API into changes on the bus. It is the only
// client of the Kubernetes API for objects.
//
// Consumes API watches, REQUEST_CLUSTER_STATE and REQUEST_RESOURCES; produces
// KS_EVENTS, the answers to those requests (KS_SNAP), REQUEST_RUN, the registry
// (KS_DESTINATION) and sealed credentials (KS_CREDENTIAL). Keeps bookmarks (KS_CURSOR), and in memory an index of the
// objects of each type: identity, version and, for each content that destinations have of it,
// whose it is and its hash, no contents.
//
// Promises: every version that a watch delivered is published once, in the
// order of its type (I1–I3), for the destinations whose rules select
// it, except for those that have the same canonical manifest; as a DELETE for those that selected
// the version before, and not this one; after the API server forgot a version (410 Gone), the newest
// one of each object, and the deletions. A restart resumes where the lane ends.
// The first list of a type publishes nothing: what exists comes by a run, which is
// asked for where none is to come. What a run is told of a lane is exactly what the
// lane holds before its MARK. A type that cannot be listed is named, and nothing of
// it is taken for absent; once it can be, those who were told so get another run. Nor
// is a type that rules select in another version than the one the server prefers.
//
// Secrets, and what else is sensitive to a destination, are mirrored sealed to the git-writer's
// public key, where this watcher has that and a key to mark them with; otherwise they are
// withheld, and with --mirror-secrets=Never no Secret is mirrored. With the public key, those that
// remotes name are read, one by one, and what of them opens a remote is kept in
// KS_CREDENTIAL, sealed to that key; without one none is.
package watcher
