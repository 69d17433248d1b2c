// Loads an etcd server through its own client for some seconds, and prints what was answered: one JSON object with requests a
// second and latencies in milliseconds. All callers share one client, as the threads of a program do.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

type report struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
}

func main() {
	endpoint := flag.String("endpoint", "", "address of the server")
	callers := flag.Int("callers", 16, "callers that each wait for their answer")
	seconds := flag.Int("seconds", 5, "how long")
	key := flag.String("get", "", "the key to read")
	prefix := flag.String("put", "", "the beginning of the keys to write, a new one with every request")
	value := flag.String("value", "", "the value to write")
	flag.Parse()
	found, err := load(*endpoint, *callers, time.Duration(*seconds)*time.Second, *key, *prefix, *value)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func load(endpoint string, callers int, lasts time.Duration, key, prefix, value string) (report, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second})
	if err != nil {
		return report{}, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), lasts+10*time.Second)
	defer cancel()
	if _, err := client.Get(ctx, "warm"); err != nil {
		return report{}, err
	}
	took := make([][]time.Duration, callers)
	failed := make([]error, callers)
	begun := time.Now()
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for n := 0; time.Since(begun) < lasts; n++ {
				sent := time.Now()
				var err error
				if prefix == "" {
					_, err = client.Get(ctx, key)
				} else {
					_, err = client.Put(ctx, fmt.Sprintf("%s-%d-%d", prefix, caller, n), value)
				}
				if err != nil {
					failed[caller] = err
					return
				}
				took[caller] = append(took[caller], time.Since(sent))
			}
		})
	}
	all.Wait()
	elapsed := time.Since(begun)
	var answered []time.Duration
	for caller := range callers {
		if failed[caller] != nil {
			return report{}, failed[caller]
		}
		answered = append(answered, took[caller]...)
	}
	if len(answered) == 0 {
		return report{}, fmt.Errorf("%s answered nothing in %s", endpoint, lasts)
	}
	sort.Slice(answered, func(a, b int) bool { return answered[a] < answered[b] })
	at := func(percent int) float64 {
		return float64(answered[len(answered)*percent/100].Microseconds()) / 1000
	}
	return report{PerSecond: float64(len(answered)) / elapsed.Seconds(), P50: at(50), P99: at(99)}, nil
}
