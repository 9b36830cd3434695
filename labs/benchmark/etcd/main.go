// Load on etcd: N goroutines on one client, each doing one operation after the other. It reads one JSON object a
// line, with the fields of RunLoad (common/load.py), and answers each with one, with the fields of LoadDone.
//
// With Debian's golang-etcd-server-dev: GO111MODULE=off GOPATH=/usr/share/gocode go build -o load main.go
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
)

type runLoad struct {
	Clerks    int     `json:"clerks"`
	Seconds   float64 `json:"seconds"`
	Operation string  `json:"operation"`
	ValueSize int     `json:"value_size"`
	Keys      int     `json:"keys"`
}

type loadDone struct {
	Operations int     `json:"operations"`
	Seconds    float64 `json:"seconds"`
	Median     float64 `json:"median"`
	Slow       float64 `json:"slow"`
	Slowest    float64 `json:"slowest"`
}

// sideBySide does work(0) to work(count-1), each in a goroutine, and waits for all.
func sideBySide(count int, work func(int)) {
	var group sync.WaitGroup
	for number := 0; number < count; number++ {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			work(number)
		}(number)
	}
	group.Wait()
}

func run(client *clientv3.Client, request runLoad) loadDone {
	value := strings.Repeat("v", request.ValueSize)
	do := func(operation string, key int) {
		var err error
		if name := fmt.Sprintf("key-%d", key%request.Keys); operation == "get" {
			_, err = client.Get(context.Background(), name)
		} else {
			_, err = client.Put(context.Background(), name, value)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	sideBySide(request.Clerks, func(clerk int) {
		for key := clerk; key < request.Keys; key += request.Clerks {
			do("put", key)
		}
	})
	took := make([][]float64, request.Clerks)
	began := time.Now()
	sideBySide(request.Clerks, func(clerk int) {
		place := clerk * request.Keys / request.Clerks
		before := time.Now()
		for key := place; before.Sub(began).Seconds() < request.Seconds; key++ {
			do(request.Operation, key)
			now := time.Now()
			took[clerk] = append(took[clerk], now.Sub(before).Seconds())
			before = now
		}
	})
	seconds := time.Since(began).Seconds()
	var all []float64
	for _, each := range took {
		all = append(all, each...)
	}
	sort.Float64s(all)
	count := len(all)
	return loadDone{count, seconds, all[count/2], all[count*99/100], all[count-1]}
}

func main() {
	client, err := clientv3.New(clientv3.Config{Endpoints: os.Args[1:], DialTimeout: 10 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var request runLoad
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			log.Fatal(err)
		}
		answer, err := json.Marshal(run(client, request))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(answer))
	}
}
