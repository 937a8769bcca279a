echo "a todo item can be created"
