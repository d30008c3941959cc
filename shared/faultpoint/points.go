package faultpoint

// Point is a durable step of a role.
type Point struct {
	Role string
	Step Step
	Of   string
}

// Name is that of the point, within its role.
func (p Point) Name() string { return Name(p.Step, p.Of) }

// Points are all there are.
var Points = []Point{
	{"watcher", Put, "KS_DESTINATION"},
	{"watcher", Remove, "KS_DESTINATION"},
	{"watcher", Put, "KS_CREDENTIAL"},
	{"watcher", Remove, "KS_CREDENTIAL"},
	{"watcher", Fence, "KS_EVENTS"},
	{"watcher", Publish, "change"},
	{"watcher", Publish, "mark"},
	{"watcher", StoreBatch, "KS_EVENTS"},
	{"watcher", Put, "KS_CURSOR"},
	{"watcher", Remove, "KS_CURSOR"},
	{"watcher", Ask, "REQUEST_RUN"},
	{"watcher", Ack, "REQUEST_CLUSTER_STATE"},
	{"watcher", Ack, "REQUEST_RESOURCES"},
	{"watcher", Ack, "REQUEST_OBJECT"},
	{"watcher", Chunk, "cluster"},
	{"watcher", End, "cluster"},
	{"watcher", Chunk, "content"},
	{"watcher", End, "content"},
	{"watcher", Letter, "watcher"},

	{"router", Store, "KS_LIVE"},
	{"router", StoreBatch, "KS_LIVE"},
	{"router", Letter, "router"},

	{"stream", Store, "KS_WRITE"},
	{"stream", StoreBatch, "KS_WRITE"},
	{"stream", Put, "KS_PHASE"},
	{"stream", Ask, "REQUEST_RUN"},
	{"stream", Letter, "stream"},

	{"reconciler", Put, "KS_PHASE"},
	{"reconciler", Remove, "KS_PHASE"},
	{"reconciler", Remove, "KS_STATUS"},
	{"reconciler", Put, "KS_LAG"},
	{"reconciler", Remove, "KS_LAG"},
	{"reconciler", Store, "KS_LIVE"}, // where a cursor of the router's stands in what is removed
	{"reconciler", Ack, "REQUEST_RUN"},
	{"reconciler", Ask, "REQUEST_CLUSTER_STATE"},
	{"reconciler", Ask, "REQUEST_RESOURCES"},
	{"reconciler", Chunk, "result"},
	{"reconciler", End, "result"},
	{"reconciler", End, "content"}, // of lanes that are not asked
	{"reconciler", End, "run"},
	{"reconciler", Purge, "KS_SNAP"},
	{"reconciler", Purge, "KS_CTL"},
	{"reconciler", Purge, "KS_EVENTS"},
	{"reconciler", Purge, "KS_LIVE"},
	{"reconciler", Purge, "KS_WRITE"},

	{"git-writer", Push, "the remote"},
	{"git-writer", Put, "KS_CURSOR"},
	{"git-writer", Put, "KS_STATUS"},
	{"git-writer", Put, "KS_PHASE"},
	{"git-writer", Chunk, "repo"},
	{"git-writer", End, "repo"},
	{"git-writer", Ask, "REQUEST_RUN"},
	{"git-writer", Letter, "git-writer"},
}
