// Package sealing keeps KS_CREDENTIAL equal to the Secrets that remotes name: each of them
// is read, and watched alone, and what of it opens a remote is stored there for the
// git-writer alone to read. Nothing of a Secret is kept here.
//
// It needs no lane. Two watchers write the same, or the last one does; one whose
// destinations are older, and so removes what a newer one has stored, goes on until it
// notices that it has lost its lanes, when it publishes next; the newer one looks again
// whenever a watch ends.
package sealing
