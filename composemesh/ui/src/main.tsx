// The page's start: the token out of the address, the stream to the mesh, and the house around the pages.

import { render } from "preact";
import { App } from "./App";
import { listenForKeys } from "./keys";
import { listen } from "./live";
import { startRouting } from "./router";
import { startTheme } from "./theme";
import { takeToken } from "./token";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/pages.css";
import "./styles/charts.css";

takeToken(); // first: what follows reads the address without it
startTheme();
startRouting();
listen();
listenForKeys();
render(<App />, document.getElementById("app")!);
