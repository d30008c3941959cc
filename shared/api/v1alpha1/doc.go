// Package v1alpha1 is the configuration of kubescribe, API group
// kubescribe.dev/v1alpha1: which remotes there are ([GitRemote]), where in them a
// cluster is written ([GitDestination]), and what is written there ([WatchRule],
// [ClusterWatchRule]).
//
// The same documents come from a YAML file ([Load]), from the command line
// ([ZeroConfig]) and from custom resources; all pass the same defaults
// ([SetDefaults]) and the same validation ([Documents.Validate]). The API server applies
// and checks what of these it can, by the markers in the comments: "make generate" makes
// the CustomResourceDefinitions in deploy/crds of them, and docs/reference/api.md.
//
// It promises:
//
//   - A field exists here only if kubescribe honours it. Anything else in a document
//     is an error, never ignored, but for what the API server and controllers write
//     into an object that kubectl get -o yaml then shows: status, and their part of
//     metadata.
//   - Validation is pure: the same documents give the same problems in the same order,
//     and it reads neither files, nor the network, nor the clock.
//   - Every problem is reported at once, each on one line that says where it is, what
//     is wrong and what to do.
//   - No message contains a credential: URLs are never echoed, and other values only
//     if they hold neither ":" nor "@".
//
// +groupName=kubescribe.dev
// +kubebuilder:object:generate=true
package v1alpha1
