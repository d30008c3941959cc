// Package v1alpha1 is the configuration of kubescribe, API group
// kubescribe.dev/v1alpha1: which remotes there are ([GitRemote]), where in them a
// cluster is written ([GitDestination]), and what is written there ([WatchRule],
// [ClusterWatchRule]).
//
// The same documents come from a YAML file ([Load]), from the command line
// ([ZeroConfig]) and, later, from custom resources; all pass the same defaults
// ([SetDefaults]) and the same validation ([Documents.Validate]).
//
// It promises:
//
//   - A field exists here only if kubescribe honours it. Anything else in a document
//     is an error, never ignored.
//   - Validation is pure: the same documents give the same problems in the same order,
//     and it reads neither files, nor the network, nor the clock.
//   - Every problem is reported at once, each on one line that says where it is, what
//     is wrong and what to do.
//   - No message contains a credential: URLs are never echoed, and other values only
//     if they hold neither ":" nor "@".
//
// +groupName=kubescribe.dev
package v1alpha1
