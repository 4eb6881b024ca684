module github.com/cairn-network/cairn/tools/h3vectors

go 1.26

require github.com/uber/h3-go/v4 v4.3.0
