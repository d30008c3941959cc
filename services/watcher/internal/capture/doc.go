// Package capture follows one type of one cluster, from the API server's socket
// to the lane.
//
// It uses raw lists and watches. An informer skips versions when it lists again
// and buffers without bound; the retrying watch of client-go swallows bookmarks
// and retries a 410 for ever.
package capture
