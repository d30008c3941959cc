package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Network is places on cables, and this process, which every cable leads to.
type Network struct{ places int }

// NewNetwork begins one in the network namespace that this process runs in. That must be one of
// its own, in which nothing is up yet: the machine's is left alone. It takes the right to
// administrate it.
func NewNetwork() (*Network, error) {
	lo, err := netlink.LinkByName("lo")
	if err == nil && lo.Attrs().Flags&net.FlagUp != 0 {
		err = errors.New("others use this one: run this by unshare --net")
	}
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("%w: run this as root, or by unshare --map-root-user --net, and in a container with the capabilities SYS_ADMIN and NET_ADMIN", err)
	}
	if err != nil {
		return nil, fmt.Errorf("making a network: %w", err)
	}
	return &Network{}, nil
}

// Place is a network namespace of its own, to which one cable leads. Who runs there
// ([Command.Place]) reaches this process by the cable, at Host, and nobody else.
type Place struct {
	Address string // of who runs there
	Host    string // of this process, seen from there

	namespace *os.File
	wall      *netlink.Bridge // that the cable is plugged into, here
	cable     *netlink.Veth   // its end that is plugged in
}

// Place makes one more, until Close. It is not for several goroutines.
func (n *Network) Place() (*Place, error) {
	n.places++
	named := func(what string) netlink.LinkAttrs {
		a := netlink.NewLinkAttrs()
		a.Name = fmt.Sprintf("%s-%d", what, n.places)
		return a
	}
	p := &Place{
		Address: fmt.Sprintf("10.0.%d.2", n.places),
		Host:    fmt.Sprintf("10.0.%d.1", n.places),
		wall:    &netlink.Bridge{LinkAttrs: named("wall")},
		cable:   &netlink.Veth{LinkAttrs: named("cable"), PeerName: "eth0"},
	}
	if err := p.wire(); err != nil {
		return nil, errors.Join(fmt.Errorf("making a place on the network: %w", err), p.Close())
	}
	return p, nil
}

// wire makes the namespace and the cable.
func (p *Place) wire() (err error) {
	if p.namespace, err = newNamespace(); err != nil {
		return err
	}
	if err := netlink.LinkAdd(p.wall); err != nil {
		return err
	}
	p.cable.MasterIndex, p.cable.PeerNamespace = p.wall.Index, netlink.NsFd(p.namespace.Fd())
	if err := netlink.LinkAdd(p.cable); err != nil {
		return err
	}
	if err := up(p.wall.Name, p.Host); err != nil {
		return err
	}
	if err := up(p.cable.Name, ""); err != nil {
		return err
	}
	return p.do(func() error { return errors.Join(up("lo", ""), up("eth0", p.Address)) })
}

// up sets an interface up, with an address if one is given.
func up(name, address string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if address != "" {
		a, err := netlink.ParseAddr(address + "/30")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, a); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// newNamespace is one that is there until it is closed, and nobody runs in it any more.
func newNamespace() (file *os.File, err error) {
	err = elsewhere(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() error {
		file, err = os.Open(ownNamespace)
		return err
	})
	return file, err
}

const ownNamespace = "/proc/thread-self/ns/net"

// do does something there: a process that is started, and a socket that is opened, is there.
func (p *Place) do(something func() error) error {
	return elsewhere(func() error { return unix.Setns(int(p.namespace.Fd()), unix.CLONE_NEWNET) }, something)
}

// elsewhere does something once it has gone to another network namespace, and comes back. It is not
// left to the thread to end there, with its goroutine: each process that this thread has started would
// end with it ([attributes]).
func elsewhere(enter, something func() error) (err error) {
	runtime.LockOSThread()
	here, err := os.Open(ownNamespace)
	if err == nil {
		defer here.Close()
		err = enter()
	}
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("entering a network namespace: %w", err)
	}
	defer func() {
		if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
			err = errors.Join(err, fmt.Errorf("leaving a network namespace: %w", back))
			return // nothing else may run on this thread
		}
		runtime.UnlockOSThread()
	}()
	return something()
}

// Unplug pulls out the cable until Plug: what is sent either way is gone, and no connection is
// told. Pulled out of the wall, those there see that it leads nowhere; pulled out behind the
// wall, all looks to them as it was.
func (p *Place) Unplug(behind bool) error {
	var end netlink.Link = p.cable
	if behind {
		end = p.wall
	}
	if err := netlink.LinkSetDown(end); err != nil {
		return fmt.Errorf("unplugging %s: %w", p.Address, err)
	}
	return nil
}

// Plug ends an Unplug. Connections go on once they find out, which takes them up to as long again.
func (p *Place) Plug() error {
	if err := errors.Join(netlink.LinkSetUp(p.wall), netlink.LinkSetUp(p.cable)); err != nil {
		return fmt.Errorf("plugging in %s: %w", p.Address, err)
	}
	return nil
}

// Close takes the cable away, and the place once nobody runs there.
func (p *Place) Close() error {
	var errs []error
	for _, l := range []netlink.Link{p.cable, p.wall} {
		if l.Attrs().Index != 0 {
			errs = append(errs, netlink.LinkDel(l))
		}
	}
	if p.namespace != nil {
		errs = append(errs, p.namespace.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the place %s: %w", p.Address, err)
	}
	return nil
}
