package faults

import (
	"slices"
	"time"
)

// The kinds of faults, as a run reports them.
const (
	ServiceKilled    = "service killed"
	ServiceStands    = "service stands still past its leases"
	ServiceClock     = "service's clock steps"
	ServiceCutNode   = "service cut off from a NATS node"
	ServiceCutNATS   = "service cut off from NATS"
	ServiceSlow      = "service slow to reach NATS"
	ServiceUnplugged = "service unplugged"
	WatcherCut       = "watcher cut off from the API server"
	WatcherSlow      = "watcher slow to reach the API server"
	WriterCut        = "git-writer cut off from the remote"
	WriterSlow       = "git-writer slow to reach the remote"
	WriterFull       = "git-writer's disk full"
	NodeKilled       = "NATS node killed"
	NodeStands       = "NATS node stands still"
	NodeClock        = "NATS node's clock steps"
	NodesCut         = "NATS nodes cut off from each other"
	NodesSlow        = "NATS nodes slow to reach each other"
	NodeUnplugged    = "NATS node unplugged"
	NodeFull         = "NATS node's disk full"
	RemoteDown       = "remote down"
	RemoteSlow       = "remote slow"
	RemoteRefuses    = "remote refuses"
	RemoteLate       = "remote answers when nobody waits any more"
	RemoteTaken      = "somebody else pushes to the branch"
	APIServerDown    = "API server not reachable"
	APIServerSlow    = "API server slow"
	APIServerKill    = "API server killed"
)

// lease is after how long a shard is somebody else's whose owner says nothing.
const lease = 10 * time.Second

// between is a kind that lasts so long, in seconds.
func between(least, most float64, name string) Kind {
	return Kind{name, time.Duration(least * float64(time.Second)), time.Duration(most * float64(time.Second))}
}

// Services are the programs of the services. Each runs twice: see [Replicas].
var Services = []string{"watcher", "router", "stream", "reconciler", "git-writer"}

// Replicas are the names of a service's processes.
func Replicas(service string) []string { return []string{service, service + " 2"} }

// Nodes are the names of the NATS servers: two of them are enough to go on.
var Nodes = []string{"node 0", "node 1", "node 2"}

// The other two groups have one target each.
const (
	Remote    = "remote"
	APIServer = "API server"
)

// Groups are those of a run: the replicas of each service, the NATS nodes, the remote and
// the API server. So one replica of each service, and two NATS nodes, are whole at any time:
// but for a party whose cable is back, and whose connections have not found out yet.
func Groups() []Group {
	service := []Kind{
		between(0.2, 2, ServiceKilled),
		{ServiceStands, lease + time.Second, lease + 3*time.Second},
		between(1, 3, ServiceClock),
		between(2, 4, ServiceCutNode),
		between(3, 6, ServiceCutNATS),
		between(2, 4, ServiceSlow),
		between(2, 13, ServiceUnplugged),
	}
	more := map[string][]Kind{
		"watcher":    {between(2, 5, WatcherCut), between(2, 4, WatcherSlow)},
		"git-writer": {between(2, 3, WriterCut), between(2, 3, WriterSlow), between(3, 4, WriterFull)},
	}
	var groups []Group
	for _, s := range Services {
		groups = append(groups, Group{s, Replicas(s), slices.Concat(service, more[s])})
	}
	return append(groups,
		Group{"NATS", Nodes, []Kind{
			between(0.5, 4, NodeKilled),
			between(3, 12, NodeStands),
			between(1, 4, NodeClock),
			between(3, 8, NodesCut),
			between(2, 5, NodesSlow),
			between(2, 13, NodeUnplugged),
			between(3, 6, NodeFull),
		}},
		Group{Remote, []string{Remote}, []Kind{
			between(3, 8, RemoteDown),
			between(3, 6, RemoteSlow),
			between(2, 5, RemoteRefuses),
			between(3, 6, RemoteLate),
			between(0, 0, RemoteTaken),
			between(0, 0, RemoteTaken),
		}},
		Group{APIServer, []string{APIServer}, []Kind{
			between(3, 8, APIServerDown),
			between(2, 5, APIServerSlow),
			between(0, 0, APIServerKill),
		}},
	)
}
