// Package bench is what `make bench-reconcile` runs: the five services, each its own
// process, on a NATS server, an API server and a Git server of their own, comparing
// folders of up to 100,000 objects with a cluster. It says how long that takes, what
// it sends over the bus and how much memory each role needs, and holds that against
// targets. `make bench-git` has it hold the git-writer alone against changes that come at
// a rate, `make bench-capture` measures a start beside a cluster of many types, and
// `make bench-e2e` the whole way of a change from the API server to the remote. `make soak`
// looks for an hour at what each process holds, while changes come and replicas are restarted.
package bench
