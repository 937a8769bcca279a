serve() { echo "hello from sbcntr"; }
serve
