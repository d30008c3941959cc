package manifest

import (
	"maps"
	"slices"
	"strconv"
)

// headless is the cluster IP that says there shall be none.
const headless = "None"

// sanitizeService removes the addresses and ports that the server allocated.
func sanitizeService(out map[string]any, src *source) {
	spec, ok := out["spec"].(map[string]any)
	if !ok || !src.fromServer() {
		return
	}
	spec = maps.Clone(spec)
	out["spec"] = spec
	if spec["clusterIP"] != headless {
		// The server makes the list of the single address, and takes no list
		// without it.
		list := src.asked("spec", "clusterIPs")
		if !list {
			delete(spec, "clusterIPs")
		}
		if !list && !src.asked("spec", "clusterIP") {
			delete(spec, "clusterIP")
		}
	}
	if !src.asked("spec", "healthCheckNodePort") {
		delete(spec, "healthCheckNodePort")
	}
	if ports, ok := spec["ports"].([]any); ok {
		spec["ports"] = withoutAllocated(ports, src)
	}
}

func withoutAllocated(ports []any, src *source) []any {
	ports = slices.Clone(ports)
	for i, item := range ports {
		port, _ := item.(map[string]any)
		if _, ok := port["nodePort"]; ok && !askedNodePort(port, src) {
			port = maps.Clone(port)
			delete(port, "nodePort")
			ports[i] = port
		}
	}
	return ports
}

// askedNodePort finds a port's node port by what tells ports of a Service
// apart: number and protocol.
func askedNodePort(port map[string]any, src *source) bool {
	number, _ := port["port"].(int64)
	protocol := protocolOf(port)
	key := `k:{"port":` + strconv.FormatInt(number, 10) + `,"protocol":"` + protocol + `"}`
	if src.managed("f:spec", "f:ports", key, "f:nodePort") {
		return true
	}
	spec, _ := src.lastApplied()["spec"].(map[string]any)
	ports, _ := spec["ports"].([]any)
	return slices.ContainsFunc(ports, func(item any) bool {
		applied, _ := item.(map[string]any)
		return applied["port"] == number && protocolOf(applied) == protocol && !isUnset(applied["nodePort"])
	})
}

func protocolOf(port map[string]any) string {
	if protocol, _ := port["protocol"].(string); protocol != "" {
		return protocol
	}
	return "TCP"
}
