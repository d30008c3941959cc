package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// startLimit bounds starting something; caseLimit one case, far above what it takes.
const (
	startLimit = time.Minute
	caseLimit  = 5 * time.Minute
)

// destination is the one there is, or the first one.
var destination = event.DestinationKey{Cluster: "bench", Namespace: "default", Name: "live"}

// install is kubescribe on a bus and a remote of its own: the five services, or all of it
// in one process.
type install struct {
	bins     harness.Bins
	dir      string
	logs     string
	server   *server.Server // nil: the bus is another process's
	traffic  traffic        // over that server
	nats     *harness.NATS  // nil: the bus is that server's, or kubescribe's own
	url      string         // of the bus
	limit    int64          // bytes of each of its streams; 0: as many as an install has by itself
	watching *nats.Conn     // to it
	bus      *bus.Bus
	phases   *bus.Bucket[event.PhaseRecord]
	remote   *harness.Remote
	ended    context.Context // with a process that was not dismissed
	end      context.CancelCauseFunc

	mu      sync.Mutex                 // held by whoever writes what is below, always the same goroutine, and by others
	running map[string]*harness.Daemon // by the name of its program, or with a number behind
}

// newInstall makes a bus, counting what goes over it, and an empty remote; start starts the
// services.
func newInstall(ctx context.Context, bins harness.Bins, dir, logs string) (*install, error) {
	i, err := newRemote(bins, dir, logs)
	if err != nil {
		return nil, err
	}
	if err := i.embed(ctx); err != nil {
		return nil, errors.Join(err, i.close())
	}
	return i, nil
}

// newRemote makes an empty remote, and no bus.
func newRemote(bins harness.Bins, dir, logs string) (i *install, err error) {
	i = &install{bins: bins, dir: dir, logs: logs, running: map[string]*harness.Daemon{}}
	i.ended, i.end = context.WithCancelCause(context.Background())
	if i.remote, err = harness.ServeRemote(harness.RemoteOptions{Dir: filepath.Join(dir, "git")}); err != nil {
		return nil, err
	}
	if err := gittest.AllowFilter(i.remote.Dir, true); err != nil { // as hosting services do
		return nil, errors.Join(err, i.close())
	}
	return i, nil
}

// hosted has the remote take pushes as a merge request of GitLab's Git server has it (gitaly,
// 9336): none waits for a gc, and each stays the pack that it came as, where git by itself
// writes less than 100 objects anew, each into a file of its own.
func (i *install) hosted() error {
	_, autogc := gittest.Git(i.remote.Dir, "config", "receive.autogc", "false")
	_, unpack := gittest.Git(i.remote.Dir, "config", "receive.unpackLimit", "1")
	return errors.Join(autogc, unpack)
}

// packed has the remote pack all that has come, as hosting services do meanwhile: each push
// that is not leaves the next one more to look through.
func (i *install) packed() error {
	_, err := gittest.Git(i.remote.Dir, "repack", "-adq")
	return err
}

// processes are those that run, by their names.
func (i *install) processes() map[string]int {
	all := map[string]int{}
	for name, d := range i.running {
		all[name] = d.PID()
	}
	if i.nats != nil {
		all[natsServer] = i.nats.PID()
	}
	return all
}

// natsServer is what the NATS server is called among processes.
const natsServer = "nats-server"

// within is a context for one step, which ends too when one of the services does.
func (i *install) within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(i.ended, cancel)
	return ctx, func() { stop(); cancel() }
}

// cause adds to an error that a service has ended, if one has.
func (i *install) cause(err error) error {
	if err != nil {
		err = errors.Join(err, context.Cause(i.ended))
	}
	return err
}

// quiet checks that no service has logged an error: nothing that fails here is meant to.
func (i *install) quiet() error {
	for name, d := range i.running {
		for line := range bytes.Lines(d.Output()) {
			if bytes.Contains(line, []byte(`"level":"ERROR"`)) {
				return fmt.Errorf("%s has logged an error: %s", name, line)
			}
		}
	}
	return nil
}

// close ends everything. What has to be proven was.
func (i *install) close() error {
	for name := range i.running {
		i.dismiss(name).Kill()
	}
	i.end(nil)
	if i.watching != nil {
		i.watching.Close()
	}
	if i.bus != nil {
		i.bus.Close()
	}
	if i.server != nil {
		i.server.Shutdown()
		i.server.WaitForShutdown()
	}
	if i.nats != nil {
		i.nats.Kill()
	}
	if i.remote != nil {
		return i.remote.Close()
	}
	return nil
}
