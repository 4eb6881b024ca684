package a

import (
	"math/rand" // want "import of math/rand"
	"time"
)

func bad(m map[string]int, c chan int) int {
	for k := range m { // want "range over a map"
		_ = k
	}
	go func() {}() // want "goroutine"
	select {       // want "select"
	case <-c:
	default:
	}
	_ = 1.5           // want "floating-point literal"
	var f float64     // want "float64"
	_ = f             //
	_ = time.Now()    // want "call of time.Now"
	return rand.Int() //
}

func good(m map[string]int, s []int) (n int) {
	//consensus:ok counting does not depend on order
	for range m {
		n++
	}
	for _, v := range s {
		n += v
	}
	return n + int(time.Unix(5, 0).Unix())
}

func unexplained(m map[string]int) {
	//consensus:ok
	for range m { // want "range over a map"
	}
}
