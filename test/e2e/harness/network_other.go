//go:build !linux

package harness

import "errors"

var errNoNetwork = errors.New("networks with places of their own can be made on Linux alone: run this there")

// Network is places on cables. Here there is none.
type Network struct{}

// NewNetwork begins one. Here it cannot.
func NewNetwork() (*Network, error) { return nil, errNoNetwork }

// Place is on a network. Here there is none.
type Place struct{ Address, Host string }

// Place makes one more.
func (n *Network) Place() (*Place, error) { return nil, errNoNetwork }

func (p *Place) do(func() error) error { return errNoNetwork }

// Unplug pulls out the cable.
func (p *Place) Unplug(bool) error { return errNoNetwork }

// Plug ends an Unplug.
func (p *Place) Plug() error { return errNoNetwork }

// Close takes the cable away.
func (p *Place) Close() error { return errNoNetwork }
