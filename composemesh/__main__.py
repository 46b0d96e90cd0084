from composemesh.cli import main

main()
