package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	cniFile   = "/host/etc/cni/net.d/10-podnet.conflist"
	cniConfig = `{"cniVersion":"0.4.0","name":"podnet","plugins":[
 {"type":"ptp","ipMasq":false,"ipam":{"type":"host-local","dataDir":"/run/cni-ipam-state","routes":[%s],"ranges":[%s]}},
 {"type":"portmap","capabilities":{"portMappings":true}}]}
`
)

// podNetwork repeats for ever: nodes come and go.
func podNetwork(ctx context.Context, client kubernetes.Interface, self string) {
	for ; ; time.Sleep(2 * time.Second) {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			log.Printf("listing nodes: %v", err)
			continue
		}
		for _, n := range nodes.Items {
			if len(n.Spec.PodCIDRs) == 0 {
				continue
			}
			if n.Name == self {
				err = writeCNI(n.Spec.PodCIDRs)
			} else {
				err = routeTo(n)
			}
			if err != nil {
				log.Printf("node %s: %v", n.Name, err)
			}
		}
	}
}

func writeCNI(cidrs []string) error {
	var routes, ranges []string
	for _, cidr := range cidrs {
		everywhere := "0.0.0.0/0"
		if isIPv6(cidr) {
			everywhere = "::/0"
		}
		routes = append(routes, fmt.Sprintf(`{"dst":"%s"}`, everywhere))
		ranges = append(ranges, fmt.Sprintf(`[{"subnet":"%s"}]`, cidr))
	}
	want := fmt.Sprintf(cniConfig, strings.Join(routes, ","), strings.Join(ranges, ","))
	if have, _ := os.ReadFile(cniFile); string(have) == want {
		return nil
	}
	tmp := filepath.Join(filepath.Dir(cniFile), ".podnet")
	if err := os.WriteFile(tmp, []byte(want), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, cniFile)
}

func routeTo(n v1.Node) error {
	for _, cidr := range n.Spec.PodCIDRs {
		_, dst, err := net.ParseCIDR(cidr)
		if err != nil {
			return err
		}
		gateway := internalIP(n, isIPv6(cidr))
		if gateway == nil {
			return fmt.Errorf("no internal address for %s", cidr)
		}
		if err := netlink.RouteReplace(&netlink.Route{Dst: dst, Gw: gateway}); err != nil {
			return err
		}
	}
	return nil
}

func internalIP(n v1.Node, ipv6 bool) net.IP {
	for _, a := range n.Status.Addresses {
		if a.Type == v1.NodeInternalIP && isIPv6(a.Address) == ipv6 {
			return net.ParseIP(a.Address)
		}
	}
	return nil
}

// isIPv6 is about an address or a CIDR.
func isIPv6(text string) bool { return strings.Contains(text, ":") }
