// Package watcher turns a cluster's API into changes on the bus. It is the only
// client of the Kubernetes API for objects.
//
// Consumes API watches and REQUEST_CLUSTER_STATE; produces KS_EVENTS and the
// registry (KS_DESTINATION). Keeps bookmarks (KS_CURSOR), and in memory an
// index of the objects of each type: identity and content hash, no contents.
//
// Promises: every version that a watch delivered is published once, in the
// order of its type (I1–I3), except those whose canonical manifest is what was
// last published; after the API server forgot a version (410 Gone), the newest
// one of each object, and the deletions. A restart resumes where the lane ends.
// A type that cannot be listed is named, and nothing of it is taken for absent.
//
// Secrets are never listed, watched or written by this version.
package watcher
