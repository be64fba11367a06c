print("Tour")
